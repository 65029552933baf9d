/* Holds the C interface to the table of forgeries.
 *
 * in   on standard input, lines as tests/lines.py writes them, fields apart by TAB:
 *        case NAME MODE TOLERANCE_S RESUME|- usable|refused KEY_HEX…
 *        step NONCE|- NOW|- EXPECT MESSAGE_HEX
 * out  exit 0 and how many messages, or 1 with each message of which the verifier says something else
 *
 * No memory is allocated: what a microcontroller can do is done here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../include/deepid_grant.h"

static char line[16384];
static uint8_t bytes[4096];
static struct deepid_verifier verifier;

static size_t hex(const char *digits, uint8_t *to, size_t room) {
    size_t count = strlen(digits) / 2;
    if (count > room) exit(2);
    for (size_t i = 0; i < count; i++) {
        unsigned value;
        if (sscanf(digits + 2 * i, "%2x", &value) != 1) exit(2);
        to[i] = (uint8_t)value;
    }
    return count;
}

static uint32_t mode(const char *word) {
    if (!strcmp(word, "clock")) return DEEPID_MODE_CLOCK;
    if (!strcmp(word, "nonce")) return DEEPID_MODE_NONCE;
    if (!strcmp(word, "nonce_and_clock")) return DEEPID_MODE_NONCE_AND_CLOCK;
    return DEEPID_MODE_NONCE_AND_CLOCK_IF_KNOWN;
}

int main(void) {
    char name[64] = "";
    int wrong = 0, messages = 0, cases = 0;
    while (fgets(line, sizeof line, stdin)) {
        char *field[16];
        size_t count = 0;
        line[strcspn(line, "\n")] = 0;
        for (char *rest = line; rest && count < 16; count++) {
            field[count] = rest;
            rest = strchr(rest, '\t');
            if (rest) *rest++ = 0;
        }
        if (!strcmp(field[0], "case") && count >= 7) {
            snprintf(name, sizeof name, "%s", field[1]);
            size_t keys = 0;
            for (size_t i = 6; i < count; i++) keys += hex(field[i], bytes + keys, sizeof bytes - keys) ? 32 : 0;
            enum deepid_result said = deepid_verifier_init(&verifier, "front", bytes, keys / 32, mode(field[2]), (uint8_t)atoi(field[3]));
            bool usable = !strcmp(field[5], "usable");
            if ((said == DEEPID_RESULT_TAKEN) != usable) {
                printf("%s: set up: %s\n", name, deepid_result_word(said));
                wrong++;
            }
            if (strcmp(field[4], "-")) deepid_verifier_resume_after(&verifier, strtoull(field[4], NULL, 10));
            cases++;
        } else if (!strcmp(field[0], "step") && count == 5) {
            if (strcmp(field[1], "-") && deepid_verifier_set_nonce(&verifier, field[1]) != DEEPID_RESULT_TAKEN) {
                printf("%s: the nonce is not taken\n", name);
                wrong++;
            }
            uint64_t now = strtoull(field[2], NULL, 10);
            size_t length = hex(field[4], bytes, sizeof bytes);
            struct deepid_grant grant;
            memset(&grant, 0xff, sizeof grant);
            enum deepid_result said = deepid_verifier_verify(&verifier, bytes, length, strcmp(field[2], "-") ? &now : NULL, &grant);
            uint64_t largest = 0;
            if (strcmp(deepid_result_word(said), field[3])) {
                printf("%s: %s, not %s\n", name, deepid_result_word(said), field[3]);
                wrong++;
            } else if (said == DEEPID_RESULT_TAKEN &&
                       (!deepid_verifier_largest_seq(&verifier, &largest) || largest != grant.seq || strlen(grant.subject) == 0 || strlen(grant.subject) >= sizeof grant.subject)) {
                printf("%s: the grant is not what was taken\n", name);
                wrong++;
            }
            messages++;
        } else {
            printf("what is this line: %s\n", field[0]);
            return 2;
        }
    }
    printf("%d messages in %d cases, %d wrong\n", messages, cases, wrong);
    return wrong || cases < 40;
}
