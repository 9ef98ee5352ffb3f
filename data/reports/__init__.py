"""What people look at: pictures, neighbours, the report, the comparison with other models."""
