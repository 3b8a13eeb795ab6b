"""One program for each implementation."""
