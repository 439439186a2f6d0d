"""The commands `streamer`, `receiver` and `labkit`."""
