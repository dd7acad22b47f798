"""The pages of the migration."""
