"""One version after another: promotion, its gates, rollback, retirement."""
