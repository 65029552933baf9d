//! What a driver says of its controls, and setting one: two calls that the crate `v4l` 0.14 makes wrongly.
//!
//! In: a way to call the driver. Out: the controls that a number can set; whether one was set.
//!
//! `v4l` panics over a kind of control that is newer than itself (its pull request 99), so that one
//! such control hides all names; and it states a size for plain numbers, which V4L2 wants to be 0
//! (its pull request 76). Both are mended in its repository and in no release, so both calls are made
//! here, with its own structures. Everything else stays its business.
//!
//! Invariants: a control of an unknown kind is passed over; a driver that repeats itself ends the list.
//! Source: the V4L2 documentation, `VIDIOC_QUERY_EXT_CTRL` and `VIDIOC_S_EXT_CTRLS`.

use std::io;

use v4l::device::Handle;
use v4l::v4l_sys::{v4l2_ext_control, v4l2_query_ext_ctrl};
use v4l::v4l2::{self, vidioc};

use super::control::KnownControl;

/// Asks for the control after this one; plain ones and compound ones.
const NEXT: u32 = 0x8000_0000 | 0x4000_0000;
/// The kinds of controls whose value is a number: integer, boolean, menu, button, 64-bit integer,
/// bit mask, integer menu.
const NUMBERS: [u32; 7] = [1, 2, 3, 4, 5, 8, 9];
/// The bits of a control's number that are its class (`V4L2_CTRL_ID2WHICH`).
const CLASS: u32 = 0x0fff_0000;
/// More controls than any device has.
const CONTROLS_MAX: usize = 4096;

/// `v4l2_ext_controls`, whose bindings differ with the kernel's headers: one of its fields has become
/// a union.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ExtControls {
    class: u32,
    count: u32,
    error_index: u32,
    request: i32,
    reserved: u32,
    controls: *mut v4l2_ext_control,
}

/// A call to the driver.
pub(super) enum Call<'a> {
    /// `VIDIOC_QUERY_EXT_CTRL`.
    Query(&'a mut v4l2_query_ext_ctrl),
    /// `VIDIOC_S_EXT_CTRLS`.
    Set(&'a mut ExtControls),
}

impl Call<'_> {
    /// Calls the driver behind `handle`.
    #[expect(unsafe_code, reason = "an ioctl takes an address")]
    pub(super) fn on(self, handle: &Handle) -> io::Result<()> {
        let (request, argument) = match self {
            Self::Query(query) => (vidioc::VIDIOC_QUERY_EXT_CTRL, std::ptr::from_mut(query).cast()),
            Self::Set(controls) => {
                (vidioc::VIDIOC_S_EXT_CTRLS, std::ptr::from_mut(controls).cast())
            }
        };
        // SAFETY: each request stands with the structure that it is for, which lives until the call
        // returns; the one control that `Set` points to does, too.
        unsafe { v4l2::ioctl(handle.fd(), request, argument) }
    }
}

/// The controls that a number can set, as the driver describes them.
///
/// # Errors
/// What the driver said, where it describes none.
pub(super) fn known(
    mut call: impl FnMut(Call<'_>) -> io::Result<()>,
) -> io::Result<Vec<KnownControl>> {
    let (mut found, mut last) = (Vec::new(), 0);
    for place in 0..CONTROLS_MAX {
        let mut query = zeroed_query(last | NEXT);
        match call(Call::Query(&mut query)) {
            Err(error) if place == 0 || error.kind() != io::ErrorKind::InvalidInput => {
                return Err(error);
            }
            Ok(()) if query.id > last => last = query.id,
            // The last one was the last one.
            _ => break,
        }
        if NUMBERS.contains(&query.type_) {
            let name: Vec<u8> =
                query.name.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
            let name = String::from_utf8_lossy(&name).into_owned();
            found.push(KnownControl { id: query.id, name, min: query.minimum, max: query.maximum });
        }
    }
    Ok(found)
}

/// Sets the control `id` to `value`.
///
/// # Errors
/// What the driver said.
pub(super) fn set(
    call: impl FnOnce(Call<'_>) -> io::Result<()>,
    id: u32,
    value: i64,
) -> io::Result<()> {
    let mut control = zeroed_control(id);
    // The lower half is where a 32-bit value stands, on the little-endian machines that we run on.
    control.__bindgen_anon_1.value64 = value;
    let mut controls = ExtControls {
        class: id & CLASS,
        count: 1,
        error_index: 0,
        request: 0,
        reserved: 0,
        controls: &raw mut control,
    };
    call(Call::Set(&mut controls))
}

#[expect(unsafe_code, reason = "the structure is bindgen's, and has no constructor")]
fn zeroed_query(id: u32) -> v4l2_query_ext_ctrl {
    // SAFETY: numbers alone.
    v4l2_query_ext_ctrl { id, ..unsafe { std::mem::zeroed() } }
}

#[expect(unsafe_code, reason = "the structure is bindgen's, and has no constructor")]
fn zeroed_control(id: u32) -> v4l2_ext_control {
    // SAFETY: numbers and a union of numbers and addresses, none of which is read.
    v4l2_ext_control { id, ..unsafe { std::mem::zeroed() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A driver with these controls: number, kind, name.
    fn driver(controls: &[(u32, u32, &[u8])]) -> io::Result<Vec<KnownControl>> {
        known(|call| {
            let Call::Query(query) = call else { panic!("nothing is to be set") };
            let asked = query.id & !NEXT;
            let next = controls.iter().find(|control| control.0 > asked);
            let (id, kind, name) =
                next.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
            (query.id, query.type_) = (*id, *kind);
            (query.minimum, query.maximum) = (-5, 7);
            for (byte, letter) in query.name.iter_mut().zip(*name) {
                *byte = letter.cast_signed();
            }
            Ok(())
        })
    }

    #[test]
    fn a_control_of_a_kind_that_nobody_knows_hides_no_other() {
        // 0x0107 is a rectangle, which drivers of Linux 6.17 have for a region of interest.
        let found = driver(&[
            (0x0098_0001, 6, b"User Controls"),
            (0x0098_0900, 1, b"Brightness"),
            (0x009a_0925, 0x0107, b"Region of Interest Rectangle"),
            (0x009a_0926, 200, b"Newer than the Kernel"),
            (0x009a_0930, 8, b"Mask"),
        ])
        .unwrap();
        let names: Vec<&str> = found.iter().map(|control| control.name.as_str()).collect();
        assert_eq!(names, ["Brightness", "Mask"]);
        assert_eq!((found[0].id, found[0].min, found[0].max), (0x0098_0900, -5, 7));
    }

    #[test]
    fn a_name_that_is_no_text_is_still_a_name() {
        let found = driver(&[(1, 1, b"Gain\xff"), (2, 1, &[b'x'; 32])]).unwrap();
        assert_eq!(found[0].name, "Gain\u{fffd}");
        assert_eq!(found[1].name.len(), 32, "a name that fills its place has no end of its own");
    }

    #[test]
    fn a_driver_without_a_list_or_without_an_end_is_no_trap() {
        assert!(driver(&[]).is_err());
        let mut calls = 0;
        let repeats = known(|call| {
            let Call::Query(query) = call else { panic!("nothing is to be set") };
            calls += 1;
            (query.id, query.type_) = (7, 1);
            Ok(())
        });
        assert_eq!((repeats.unwrap().len(), calls), (1, 2));
        let unplugged = known(|call| match call {
            Call::Query(query) if query.id == NEXT => {
                query.id = 1;
                Ok(())
            }
            _ => Err(io::Error::from_raw_os_error(libc::ENODEV)),
        });
        assert_eq!(unplugged.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    #[expect(unsafe_code, reason = "what a driver would read")]
    fn a_number_is_set_with_its_class_and_without_a_size() {
        let mut seen = None;
        let answer = set(
            |call| {
                let Call::Set(controls) = call else { panic!("nothing is to be asked") };
                assert_eq!((controls.class, controls.count), (0x0098_0000, 1));
                // SAFETY: `set` points to one control, which lives during the call.
                let control = unsafe { *controls.controls };
                // SAFETY: a number was put there.
                seen = Some((control.id, control.size, unsafe { control.__bindgen_anon_1.value }));
                Err(io::Error::from_raw_os_error(libc::ERANGE))
            },
            0x0098_0900,
            -7,
        );
        assert_eq!(seen, Some((0x0098_0900, 0, -7)));
        assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::ERANGE));
    }

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<v4l2_query_ext_ctrl>(), 232);
        assert_eq!(size_of::<v4l2_ext_control>(), 20);
        assert_eq!(size_of::<ExtControls>(), 32);
    }
}
