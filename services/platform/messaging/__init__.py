"""The bus: connections, durable consumers, and the outbox that publishes what was committed."""
