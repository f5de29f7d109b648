"""Training: the loop, batches, precision, schedule, optimizer, checkpoints, metrics, calibration."""
