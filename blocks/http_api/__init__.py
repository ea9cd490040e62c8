"""HTTP APIs: logging in, asking gently and again, going from page to page."""
