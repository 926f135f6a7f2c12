"""Tests of the kitchens: pure, on a broker in memory, and as processes on a real one."""
