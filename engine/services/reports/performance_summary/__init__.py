"""What the performance summary report is made of."""
