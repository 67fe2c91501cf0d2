"""From verdicts to preference pairs: which pairs are asked, who wins, what is kept. Knows no Ray."""
