"""The dashboard: observes what every version did with every order, and shows it live."""
