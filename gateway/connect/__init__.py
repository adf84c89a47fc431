"""``GET /connect``: many subscriptions on one WebSocket. docs/connect.md is what clients see of it."""
