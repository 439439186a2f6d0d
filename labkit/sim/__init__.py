"""Virtual time: a world in which a minute takes a blink. Never imports `labkit.live`."""
