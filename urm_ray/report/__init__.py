"""The run as figures and as a page that a person looks at. Knows no Ray."""
