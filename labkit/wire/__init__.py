"""One specification a file: bytes to values and back. Raises `WireError` and nothing else."""
