"""The platform against relying parties that strangers wrote: Apache's mod_auth_openidc and openid-client, as processes, over real sockets."""
