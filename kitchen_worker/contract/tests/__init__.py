"""Tests of the contract, and what other packages' tests make and wait for."""
