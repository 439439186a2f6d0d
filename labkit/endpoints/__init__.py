"""Machines put in a row: whole senders and receivers, still without input or output."""
