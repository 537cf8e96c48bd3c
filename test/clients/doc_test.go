// Package clients_test proves that clients made by others work with a real server: mosquitto's, paho's for Go, Python
// and C, and mqtt.js; MQTT 3.1.1 and 5, over TCP and WebSocket where the client can.
package clients_test
