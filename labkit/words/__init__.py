"""The words of the course: values and arithmetic. No bytes, no clock, no input or output."""
