"""A request as MQTT 5 means it: response topic and correlation data; prints the answer's payload."""
import sys
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, topic = int(sys.argv[1]), sys.argv[2]
payload = sys.stdin.buffer.read()


def connected(client, userdata, flags, reason, properties):
    client.subscribe("answers/paho", qos=1)


def subscribed(client, userdata, mid, reasons, properties):
    request = Properties(PacketTypes.PUBLISH)
    request.ResponseTopic = "answers/paho"
    request.CorrelationData = b"question-17"
    client.publish(topic, payload, qos=1, properties=request)


def answered(client, userdata, message):
    assert message.properties.CorrelationData == b"question-17", message.properties
    print(message.properties.ContentType)
    print(dict(message.properties.UserProperty)["model"])
    print(message.payload.decode())
    client.disconnect()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho", protocol=mqtt.MQTTv5)
client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, answered
client.connect("127.0.0.1", port)
client.loop_forever()
