"""What the report of an uploaded table is made of."""
