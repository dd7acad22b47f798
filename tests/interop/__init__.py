"""The platform against relying parties that strangers wrote, over real sockets: Apache's mod_auth_openidc, and libraries of several languages."""
