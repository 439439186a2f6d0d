"""Machines and pure algorithms. No socket, no clock, no thread, no file."""
