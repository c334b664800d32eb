"""What the maintainers write: entries read from YAML, and what is checked about them."""
