"""``python -m gateway_hub``: the same as the command ``gateway-hub``."""

from gateway_hub.cli import main

if __name__ == "__main__":
    main()
