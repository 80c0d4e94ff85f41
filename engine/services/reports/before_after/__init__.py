"""What the report of a comparison is made of."""
