// What the daemon's codes mean, for a person.
//
// In: codes of the wire contract. Out: words. Invariant: a code that is not known here is shown as
// it is, with spaces for its underscores, and never as nothing.

export const OUTCOMES = {
  granted: "Granted",
  denied: "Denied",
  unknown: "Unknown",
  ambiguous: "No statement",
};

export const OUTCOME_ICONS = { granted: "check", denied: "cross", unknown: "unknown", ambiguous: "ambiguous" };

export const REASONS = {
  matched: "recognised, and may pass",
  subject_disabled: "this person is switched off",
  outside_schedule: "not within the hours or the validity",
  several_faces: "more than one face was seen",
  clock_untrusted: "the door's clock cannot be trusted",
  locked_out: "the door is locked after failed visits",
  anti_passback: "went this way before, and has not come back since",
  second_factor_missing: "a second factor or a second person did not come",
  not_armed: "the door is not armed",
  beyond_calibration: "so many are enrolled that the calibration supports no grant",
  door_contested: "another device speaks as this door",
  no_match: "nobody enrolled looks like this",
  empty_gallery: "nobody is enrolled",
  close_second: "two enrolled people look nearly alike",
  insufficient_evidence: "too few pictures agreed",
  poor_quality: "no picture was good enough",
  not_live: "signs of a picture or a screen",
  liveness_undecided: "not enough seen to tell a face from a picture",
  stale_frames: "the camera's pictures were too old or stood still",
  fault: "a part of the door failed",
};

export const QUALITY = {
  too_small: "Too far away: come closer",
  blurred: "Blurred: hold still",
  too_dark: "Too dark: more light on the face",
  too_bright: "Too bright: less light, no lamp behind the camera",
  turned: "Turned or tilted too far: look at the camera",
  cropped: "Partly outside of the picture: step to the middle",
  not_upright: "The face does not stand upright",
  unclear: "Hardly to be seen: uncover the face",
  covered: "Something covers the face: take it off",
  no_face: "No face is seen",
  several_faces: "Several faces: one at a time",
  hold_still: "Hold still",
};

export const GUIDANCE = {
  come_closer: "Come closer",
  step_back: "Step back",
  more_light: "More light",
  look_here: "Look here",
  one_at_a_time: "One at a time",
  turn_left: "Turn your head to the left and hold it",
  turn_right: "Turn your head to the right and hold it",
  hold_still: "Hold still",
  uncover: "Uncover your face",
  second_factor: "Show your tag or enter your code",
};

export const LACKING = {
  looks: "still looking",
  surroundings: "step back, the surroundings are not seen",
  median: "the network is not sure yet",
  confirmation: "turn the head a little",
  ahead: "look straight ahead",
  turn_left: "turn the head to the left",
  turn_right: "turn the head to the right",
};

export const CUES = {
  network: "the network sees a picture",
  frozen: "the face never changes",
  surroundings: "the surroundings move with the face",
  challenge: "the head did not move as asked",
};

export const STEPS = {
  straight: { name: "Straight", say: "Look straight into the camera" },
  left: { name: "Left", say: "Turn your head a little to the left" },
  right: { name: "Right", say: "Turn your head a little to the right" },
  up: { name: "Up", say: "Lift your chin a little" },
};

export const STATUS = { online: "Working", degraded: "Working with faults", fault: "Out of order" };

export const CAMERA = {
  streaming: "gives pictures",
  searching: "is looked for",
  stalled: "gives no new pictures",
  undecodable: "gives pictures that cannot be read",
  busy: "is used by another program",
  denied: "may not be opened",
  unsupported: "has no format that can be used",
  misoriented: "hangs turned",
  foreign: "is not the one that is configured",
};

/** The words for `code` in `table`, or the code itself, readable. */
export function words(table, code) {
  if (code === undefined || code === null) return "";
  return Object.hasOwn(table, code) ? table[code] : String(code).replaceAll("_", " ");
}
