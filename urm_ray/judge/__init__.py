"""The unified reward model as a judge: how it is asked, run and read. Knows no Ray."""
