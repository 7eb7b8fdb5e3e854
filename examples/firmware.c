/* A DPU in C, towards Kafka: reports ten people and a heartbeat, each a JSON report, keyed by the DPU's id.
 *
 *     cc -std=c11 -Wall -Wextra -o firmware firmware.c -lrdkafka        (Debian: apt-get install librdkafka-dev)
 *     ./firmware 127.0.0.1:9092 284
 *
 * A report may be forgotten once its delivery is told without an error. What was not is reported again, unchanged, by the
 * next run of a real device from its flash; here the status says that something is left.
 */
#define _POSIX_C_SOURCE 200809L
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef TOPIC
#define TOPIC "headcount.crossings"
#endif

static int undelivered;

static void delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque) {
    (void)kafka;
    (void)opaque;
    if (message->err) {
        fprintf(stderr, "not delivered: %s\n", rd_kafka_err2str(message->err));
    } else {
        undelivered--;
    }
}

/* RFC 3339 in UTC, with milliseconds. */
static void now(char *text, size_t size) {
    struct timespec time;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &time);
    gmtime_r(&time.tv_sec, &parts);
    size_t length = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, size - length, ".%03ldZ", time.tv_nsec / 1000000);
}

static void set(rd_kafka_conf_t *settings, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(settings, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s\n", error);
        exit(2);
    }
}

static void report(rd_kafka_t *kafka, const char *dpu, const char *json) {
    rd_kafka_resp_err_t error;
    /* The queue is bounded: where it is full, wait for deliveries. */
    while ((error = rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(TOPIC), RD_KAFKA_V_KEY(dpu, strlen(dpu)),
                                      RD_KAFKA_V_VALUE((void *)json, strlen(json)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                      RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(kafka, 1000);
    }
    undelivered++;
    if (error) {
        fprintf(stderr, "not queued: %s\n", rd_kafka_err2str(error));
    }
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s BROKERS DPU_ID\n", arguments[0]);
        return 2;
    }
    const char *dpu = arguments[2];
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    set(settings, "bootstrap.servers", arguments[1]);
    set(settings, "acks", "all");
    set(settings, "enable.idempotence", "true");
    /* As Kafka's own clients do it: all of a DPU in one partition, whoever produces it. */
    set(settings, "partitioner", "murmur2_random");
    rd_kafka_conf_set_dr_msg_cb(settings, delivered);
    char error[512];
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, settings, error, sizeof error);
    if (!kafka) {
        fprintf(stderr, "%s\n", error);
        return 2;
    }
    /* A boot is a number no earlier run had: here the clock, on a device better a counter in flash. */
    struct timespec begun;
    clock_gettime(CLOCK_REALTIME, &begun);
    long long boot = begun.tv_sec * 1000LL + begun.tv_nsec / 1000000;
    char at[40], json[256];
    for (int seq = 1; seq <= 10; seq++) {
        now(at, sizeof at);
        snprintf(json, sizeof json, "{\"dpu_id\":\"%s\",\"boot\":%lld,\"crossings\":[{\"at\":\"%s\",\"direction\":%d,\"seq\":%d}]}", dpu,
                 boot, at, seq % 3 ? 1 : -1, seq);
        report(kafka, dpu, json);
    }
    now(at, sizeof at);
    snprintf(json, sizeof json, "{\"dpu_id\":\"%s\",\"boot\":%lld,\"heartbeat\":{\"at\":\"%s\",\"last_seq\":10}}", dpu, boot, at);
    report(kafka, dpu, json);
    rd_kafka_flush(kafka, 60000);
    rd_kafka_destroy(kafka);
    printf("%d of 11 reports are left\n", undelivered);
    return undelivered ? 1 : 0;
}
