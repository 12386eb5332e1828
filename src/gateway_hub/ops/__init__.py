"""What operators watch: health checks, request ids and logs."""
