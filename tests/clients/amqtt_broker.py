"""The broker amqtt, which speaks MQTT 3.1.1 only, on 127.0.0.1 at the port of its argument. Prints a line when it listens."""
import asyncio
import logging
import sys

from amqtt.broker import Broker

logging.disable(logging.CRITICAL)


async def main():
    listener = {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
    await broker.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
