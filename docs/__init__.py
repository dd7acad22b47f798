"""Documents, and the small programs that generate some of them."""
