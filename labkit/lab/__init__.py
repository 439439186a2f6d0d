"""What a notebook imports. Nothing in `labkit` but the commands imports it."""
