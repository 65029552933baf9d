//! A frame in, face detections out: any SSD described by its card.
