"""What the Webhooks page is made of: `endpoints` (make, change, rotate, test) and `log` (deliveries)."""
