"""An independent publisher and checker: numbered requests at QoS 1, and what came back.

delivery_checker.py PORT: publishes until a line comes on its input, then waits until everything that the
broker acknowledged is answered, and prints one line of JSON: what was lost, out of order, or came
twice under two ids. Exits with 1 where nothing comes for a minute."""
import collections
import json
import struct
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT, DEVICES, PER_SECOND, PATIENCE = int(sys.argv[1]), 4, 300, 30
ready, stop = threading.Event(), threading.Event()
lock = threading.Lock()
acknowledged = set()                         # numbers the broker has
numbers = {}                                 # by the client's own message id
early = set()                                # acknowledged before publish() returned
answers = collections.defaultdict(list)      # number -> ids, in the order of arrival
order = collections.defaultdict(list)        # device -> numbers, in the order of arrival
heard = [time.monotonic()]


def connected(client, userdata, flags, reason, properties):
    client.subscribe("answers/#", qos=1)


def published(client, userdata, mid, reason, properties):
    with lock:
        if mid in numbers:
            acknowledged.add(numbers.pop(mid))
        else:
            early.add(mid)


def answered(client, userdata, message):
    number, = struct.unpack("<Q", message.properties.CorrelationData)
    prediction = json.loads(message.payload)
    with lock:
        answers[number].append(prediction["id"])
        order[message.topic].append(number)
        heard[0] = time.monotonic()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "delivery-checker", protocol=mqtt.MQTTv5)
client.max_inflight_messages_set(1000)
client.on_connect, client.on_publish, client.on_message = connected, published, answered
client.on_subscribe = lambda *_: ready.set()
client.connect("127.0.0.1", PORT)
client.loop_start()
ready.wait(30)
print("ready", flush=True)
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()

number = 0
while not stop.wait(1 / PER_SECOND):
    device = number % DEVICES
    payload = b"".join(struct.pack("<f", (number * 7 + i) % 100 / 50 - 1) for i in range(240))
    request = Properties(PacketTypes.PUBLISH)
    request.ResponseTopic = f"answers/{device}"
    request.CorrelationData = struct.pack("<Q", number)
    # Without the lock: the client has one of its own, and holds that while it calls published().
    sent = client.publish(f"inputs/d{device}", payload, qos=1, properties=request)
    with lock:
        if sent.mid in early:
            early.remove(sent.mid)
            acknowledged.add(number)
        else:
            numbers[sent.mid] = number
    number += 1

heard[0] = time.monotonic()
while True:
    with lock:
        missing = sorted(acknowledged - set(answers))
        silent = time.monotonic() - heard[0]
        all_taken = not numbers
    if not missing and all_taken and silent > 1 or silent > PATIENCE:
        break
    time.sleep(0.05)

with lock:
    reordered = 0
    for arrived in order.values():
        first = list(dict.fromkeys(arrived))
        reordered += sum(a > b for a, b in zip(first, first[1:]))
    print(json.dumps({
        "inputs": number,
        "acknowledged": len(acknowledged),
        "lost": len(missing),
        "reordered": reordered,
        "twice": sum(len(ids) - 1 for ids in answers.values()),
        "twice_under_another_id": sum(len(set(ids)) - 1 for ids in answers.values()),
        "ids_of_two_inputs": sum(len(ids) for ids in map(set, answers.values())) - len(set().union(*answers.values())),
    }), flush=True)
sys.exit(0 if not missing else 1)
