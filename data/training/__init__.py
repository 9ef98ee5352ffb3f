"""What training needs whatever the network: batches, optimizer, averages, workers, checkpoints."""
