"""The identity provider of the licence platform; this package itself imports nothing."""
