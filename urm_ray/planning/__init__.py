"""What a run will ask and cost, worked out before it is started: no weights, no Ray, no network."""
