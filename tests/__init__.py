"""Tests of twisted_ws."""
