// A button that checks in, on an ESP32 that sleeps between presses.
//
// Libraries: the ESP32 core for Arduino, PubSubClient (Nick O'Leary, 2.8). This sketch cannot be compiled where Pactwire is
// built and tested, and was not run there. What it sends and expects is what test/examples and test/security test.
//
// The button is between PIN_BUTTON and ground, and wakes the chip. Presses are kept in the memory of the RTC, which deep
// sleep does not clear, until the server has answered them: nothing is lost while the network is away. There is no clock
// to set: each press tells how long ago it was (ageMs), which the server believes over any date.
//
// PubSubClient publishes with QoS 0 alone. That is enough here: Pactwire commits such check-ins all the same, and the answer
// on devices/{id}/replies takes the place of the acknowledgement. A press without an answer is sent again with the same
// id, which has no second effect.

#include <PubSubClient.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <esp_sleep.h>
#include <sys/time.h>

// From: pactwire device add PACT --name "kitchen button"
const char *DEVICE = "AaIUZXg-dGqyPBP5dBd8DA";
const char *SECRET = "the secret that was shown once";

const char *WIFI_NAME = "home";
const char *WIFI_PASSWORD = "…";
const char *SERVER = "pactwire.example.org";
const uint16_t PORT = 8883;  // mqtt.tls
const char *ROOT_CA = R"(-----BEGIN CERTIFICATE-----
…
-----END CERTIFICATE-----)";

const gpio_num_t PIN_BUTTON = GPIO_NUM_33;
const int PIN_BATTERY = 35;                    // half the voltage of the cell
const uint64_t RETRY_US = 15ULL * 60 * 1000000;  // when something waits and the network was away

struct Press {
  uint32_t id;      // random; names the press for good
  int64_t at;       // microseconds of the RTC
};
const int MAX_PRESSES = 32;  // then the oldest goes
RTC_DATA_ATTR Press presses[MAX_PRESSES];
RTC_DATA_ATTR int waiting = 0;

WiFiClientSecure net;
PubSubClient mqtt(net);

// The RTC goes on counting in deep sleep. Nobody has set it, so only differences mean anything.
int64_t rtcMicros() {
  timeval now;
  gettimeofday(&now, nullptr);
  return int64_t(now.tv_sec) * 1000000 + now.tv_usec;
}

void keepPress() {
  if (waiting == MAX_PRESSES) {
    memmove(presses, presses + 1, sizeof(Press) * (MAX_PRESSES - 1));
    waiting--;
  }
  presses[waiting++] = {esp_random(), rtcMicros()};
}

void forgetPress(uint32_t id) {
  for (int i = 0; i < waiting; i++) {
    if (presses[i].id == id) {
      memmove(presses + i, presses + i + 1, sizeof(Press) * (waiting - i - 1));
      waiting--;
      return;
    }
  }
}

int batteryPercent() {
  float volt = analogReadMilliVolts(PIN_BATTERY) * 2 / 1000.0;
  return constrain(int((volt - 3.3) / (4.2 - 3.3) * 100), 0, 100);
}

// Every answer but "pending" settles a press: done, or refused for good. The id is looked for in the text, which spares a
// JSON library: "commandId":"b-1a2b3c4d"
void onReply(char *topic, byte *payload, unsigned int length) {
  String answer;
  answer.concat(reinterpret_cast<const char *>(payload), length);
  int at = answer.indexOf("\"commandId\":\"b-");
  if (at < 0 || answer.indexOf("SERVER:CHECKIN_PENDING") >= 0) return;
  forgetPress(strtoul(answer.c_str() + at + 15, nullptr, 16));
}

bool connectAll() {
  WiFi.mode(WIFI_STA);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  for (unsigned long began = millis(); WiFi.status() != WL_CONNECTED;) {
    if (millis() - began > 15000) return false;
    delay(50);
  }
  net.setCACert(ROOT_CA);
  mqtt.setServer(SERVER, PORT);
  mqtt.setBufferSize(1024);  // an answer is about 600 bytes; longer ones would be dropped
  mqtt.setCallback(onReply);
  String user = String("device:") + DEVICE;
  String replies = String("devices/") + DEVICE + "/replies";
  return mqtt.connect("button", user.c_str(), SECRET) && mqtt.subscribe(replies.c_str(), 1);
}

void sendPresses() {
  String topic = String("devices/") + DEVICE + "/checkins";
  int battery = batteryPercent();
  for (int i = 0; i < waiting; i++) {
    char body[120];
    long long age = (rtcMicros() - presses[i].at) / 1000;
    snprintf(body, sizeof body, "{\"id\":\"b-%08x\",\"status\":\"completed\",\"ageMs\":%lld,\"battery\":%d}",
             (unsigned)presses[i].id, age < 0 ? 0LL : age, battery);
    mqtt.publish(topic.c_str(), body);
  }
  for (unsigned long began = millis(); waiting > 0 && mqtt.connected() && millis() - began < 10000;) {
    mqtt.loop();
    delay(5);
  }
}

void setup() {
  pinMode(PIN_BUTTON, INPUT_PULLUP);
  if (esp_sleep_get_wakeup_cause() == ESP_SLEEP_WAKEUP_EXT0) keepPress();
  if (waiting > 0 && connectAll()) sendPresses();
  mqtt.disconnect();
  while (digitalRead(PIN_BUTTON) == LOW) delay(10);  // held down: it would wake at once
  esp_sleep_enable_ext0_wakeup(PIN_BUTTON, 0);
  if (waiting > 0) esp_sleep_enable_timer_wakeup(RETRY_US);
  esp_deep_sleep_start();
}

void loop() {}
