"""A pathway of the tests' own, so that a stand-in finding makes a card."""
