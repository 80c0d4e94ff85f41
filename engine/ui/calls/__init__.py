"""What the API calls page is made of: `form` (one call, several), `board` (history), `result` (one call)."""
