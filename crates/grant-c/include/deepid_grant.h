/* Made by cbindgen of crates/grant-c: do not edit. The contract: docs/wire/grant.md */

#ifndef DEEPID_GRANT_H
#define DEEPID_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 64-bit words that a verifier takes.
 */
#define DEEPID_VERIFIER_WORDS 512

/*
 The most bytes of a subject's pseudonym, with the zero that ends it.
 */
#define DEEPID_SUBJECT_BYTES 257

/*
 The bytes of a key's id, with the zero that ends it.
 */
#define DEEPID_KEY_ID_BYTES 44

/*
 What a call says. From 1 to 16 they are the reasons of the contract.
 */
typedef enum deepid_result {
  /*
   Taken: open, once. Of the other functions: done.
   */
  DEEPID_RESULT_TAKEN = 0,
  /*
   More than 1024 bytes.
   */
  DEEPID_RESULT_OVERSIZED = 1,
  /*
   Not three parts in canonical base64url, or a part that is no JSON object.
   */
  DEEPID_RESULT_MALFORMED = 2,
  /*
   Another algorithm.
   */
  DEEPID_RESULT_UNSUPPORTED_ALGORITHM = 3,
  /*
   Another header.
   */
  DEEPID_RESULT_UNSUPPORTED_HEADER = 4,
  /*
   A key that is not trusted.
   */
  DEEPID_RESULT_UNKNOWN_KEY = 5,
  /*
   The signature is wrong.
   */
  DEEPID_RESULT_BAD_SIGNATURE = 6,
  /*
   A claim is there twice.
   */
  DEEPID_RESULT_DUPLICATE_CLAIM = 7,
  /*
   A claim is missing.
   */
  DEEPID_RESULT_MISSING_CLAIM = 8,
  /*
   A claim has the wrong type or is out of its range.
   */
  DEEPID_RESULT_WRONG_CLAIM = 9,
  /*
   Of another door.
   */
  DEEPID_RESULT_OTHER_DOOR = 10,
  /*
   Not yet valid.
   */
  DEEPID_RESULT_NOT_YET_VALID = 11,
  /*
   Over, or no time is known.
   */
  DEEPID_RESULT_EXPIRED = 12,
  /*
   Valid for too long.
   */
  DEEPID_RESULT_LIFETIME_TOO_LONG = 13,
  /*
   It carries no nonce.
   */
  DEEPID_RESULT_MISSING_NONCE = 14,
  /*
   The latest nonce is not in it.
   */
  DEEPID_RESULT_OTHER_NONCE = 15,
  /*
   Taken before.
   */
  DEEPID_RESULT_REPLAYED = 16,
  /*
   A null pointer, or a verifier that was not set up.
   */
  DEEPID_RESULT_NOT_SET_UP = 100,
  /*
   A value that the function cannot be called with: a door's id, a key, a tolerance, a nonce.
   */
  DEEPID_RESULT_WRONG_VALUE = 101,
} deepid_result;

/*
 By what a listener knows that a grant is fresh.
 */
typedef enum deepid_mode {
  /*
   By the time alone; the largest number taken must be kept over a restart.
   */
  DEEPID_MODE_CLOCK = 0,
  /*
   By the listener's own nonce alone.
   */
  DEEPID_MODE_NONCE = 1,
  /*
   By both.
   */
  DEEPID_MODE_NONCE_AND_CLOCK = 2,
  /*
   By the nonce, and by the time whenever it is known.
   */
  DEEPID_MODE_NONCE_AND_CLOCK_IF_KNOWN = 3,
} deepid_mode;

/*
 A verifier: memory that the caller owns. Its content is not for the caller.
 */
typedef struct deepid_verifier {
  uint64_t words[DEEPID_VERIFIER_WORDS];
} deepid_verifier;

/*
 A grant that was taken.
 */
typedef struct deepid_grant {
  /*
   The subject's pseudonym in UTF-8, ended by a zero.
   */
  char subject[DEEPID_SUBJECT_BYTES];
  /*
   The record's id: 16 bytes of a UUID.
   */
  uint8_t id[16];
  /*
   The daemon's run: 16 bytes of a UUID.
   */
  uint8_t boot[16];
  /*
   The record's number.
   */
  uint64_t seq;
  /*
   When it was issued, in seconds since 1970 by the door's clock.
   */
  uint64_t issued;
  /*
   Until when it is valid, in seconds since 1970.
   */
  uint64_t expires;
} deepid_grant;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Sets a verifier up in `verifier`, for the door `door` (text), trusting `key_count` (1 to 4) keys of 32
 bytes each, one after the other. `tolerance_s`: by how much the clocks may differ, 0 to 5 seconds; 2
 is a good one; not used in the mode `DEEPID_MODE_NONCE`. `mode` is one of `deepid_mode`.

 Says `DEEPID_RESULT_TAKEN`, `DEEPID_RESULT_NOT_SET_UP` or `DEEPID_RESULT_WRONG_VALUE`; also a key of small
 order is a wrong value.

 # Safety
 `verifier` is null or to a `deepid_verifier`; `keys` is null or to 32 times `key_count` bytes; `door` is null or
 to a text that ends with a zero.
 */
enum deepid_result deepid_verifier_init(struct deepid_verifier *verifier,
                                        const char *door,
                                        const uint8_t *keys,
                                        size_t key_count,
                                        uint32_t mode,
                                        uint8_t tolerance_s);

/*
 The nonce that was sent last: 16 to 43 characters of base64url, from a source that nobody can guess.
 The one before is worth nothing any more.

 # Safety
 `verifier` is null or to a `deepid_verifier`; `nonce` is null or to a text that ends with a zero.
 */
enum deepid_result deepid_verifier_set_nonce(struct deepid_verifier *verifier,
                                             const char *nonce);

/*
 Forgets the nonce, as when the connection is lost.

 # Safety
 `verifier` is null or to a `deepid_verifier`.
 */
void deepid_verifier_forget_nonce(struct deepid_verifier *verifier);

/*
 Goes on after a number that was taken before: only larger ones are taken.

 # Safety
 `verifier` is null or to a `deepid_verifier`.
 */
void deepid_verifier_resume_after(struct deepid_verifier *verifier, uint64_t seq);

/*
 Writes the largest number taken to `seq`; false where none was.

 # Safety
 `verifier` is null or to a `deepid_verifier`; `seq` is null or to a number.
 */
bool deepid_verifier_largest_seq(struct deepid_verifier *verifier, uint64_t *seq);

/*
 Verifies `length` bytes at `message` and takes them, once. `now`: the time in seconds since 1970 by a
 clock that is known to be right, or null where none is known. `grant`: what was taken is written
 there, unless it is null.

 Says `DEEPID_RESULT_TAKEN`, one of the reasons, or `DEEPID_RESULT_NOT_SET_UP`.

 # Safety
 `verifier` is null or to a `deepid_verifier`; `message` is null or to `length` bytes; `now` is null or to
 a number; `grant` is null or to a `deepid_grant`.
 */
enum deepid_result deepid_verifier_verify(struct deepid_verifier *verifier,
                                          const uint8_t *message,
                                          size_t length,
                                          const uint64_t *now,
                                          struct deepid_grant *grant);

/*
 The word of a result, such as `other_door`: text that ends with a zero and lives for ever. `result`
 is one of `deepid_result`.
 */
const char *deepid_result_word(uint32_t result);

/*
 Writes the id of a key of 32 bytes to `id` (44 bytes: 43 characters and a zero), to compare with the
 `kid` that the door shows; false for a key that no verifier takes.

 # Safety
 `key` is null or to 32 bytes; `id` is null or to 44 bytes.
 */
bool deepid_key_id(const uint8_t *key,
                   char *id);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DEEPID_GRANT_H */
