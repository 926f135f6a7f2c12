"""The verdict: may the candidate be promoted? It stays valid however often one looks."""
