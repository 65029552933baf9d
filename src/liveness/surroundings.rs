use crate::detect::Detection;
use crate::frame::{Frame, Window};
use crate::geometry::{Point, Rect};
use super::flow::{Patch, Plane, SIDE};

#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Motion {
    pub ratio: f32,
    pub comparisons: u32,
}
impl Motion {
    #[must_use]
    pub fn is_with_the_face(&self, ratio_min: f32) -> bool {
        self.comparisons >= 3 && self.ratio < ratio_min
    }
}

#[derive(Debug, Clone)]
struct Reference { centre: Point, side: f32, window: Window, size: (u32,u32), seq: u64 }

#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    reference: Option<Reference>,
    plane: Plane,
    patches: Vec<Patch>,
    last: Vec<(f32,f32)>,
    uv: Vec<(f32,f32)>,
}

impl Surroundings {
    pub fn see(&mut self, frame: &Frame<'_>, face: &Detection) {
        let bounds = face.bounds();
        let (w,h) = frame.stored_size();
        let map = frame.view().to_stored((w as f32, h as f32));
        let centre = map.apply(bounds.centre());
        let side = bounds.width.max(bounds.height);
        if !(side.is_finite() && side >= 16.0 && centre.x.is_finite() && centre.y.is_finite()) { return; }
        let stale = self.reference.as_ref().is_none_or(|r| {
            let g = side / r.side;
            r.size != (w,h) || centre.distance(r.centre) > 0.5*r.side || !(0.8..1.25).contains(&g) || frame.sequence() - r.seq > 30
        });
        if stale {
            let cell = ((side/26.0).round() as usize).clamp(1, 32);
            let seen = Rect::new(bounds.centre().x - 2.3*side, bounds.centre().y - 1.9*side, 4.6*side, 3.2*side);
            let region = frame.view().rect_to_stored(seen, (w as f32,h as f32));
            let Some(window) = Window::within(region, (w,h), cell) else { self.reference=None; return };
            self.plane.take(frame, &window);
            self.patches.clear(); self.last.clear(); self.uv.clear();
            let (cols, rows) = self.plane.size();
            let (l,t) = window.corner();
            let mut y = 1; while y + SIDE + 1 <= rows { let mut x = 1; while x + SIDE + 1 <= cols {
                if let Some(p) = Patch::of(&self.plane, (x,y)) {
                    let (mx,my)=p.middle();
                    let d = ((l as f32 + mx*cell as f32 - centre.x)/side, (t as f32 + my*cell as f32 - centre.y)/side);
                    let u = map.xx*d.0 + map.yx*d.1; let v = map.xy*d.0 + map.yy*d.1;
                    if p.texture() >= 0.5 { self.patches.push(p); self.last.push((0.0,0.0)); self.uv.push((u,v)); }
                }
                x += 5; } y += 5; }
            self.reference = Some(Reference{centre, side, window, size:(w,h), seq: frame.sequence()});
            eprintln!("{{\"ref\":{},\"x\":{:.1},\"y\":{:.1},\"side\":{:.1},\"cell\":{},\"cols\":{},\"rows\":{},\"n\":{}}}", frame.sequence(), centre.x, centre.y, side, cell, cols, rows, self.patches.len());
            return;
        }
        let Some(r) = self.reference.clone() else { return };
        self.plane.take(frame, &r.window);
        let cell = r.window.side() as f32;
        let shift = ((centre.x - r.centre.x)/cell, (centre.y - r.centre.y)/cell);
        let grow = side/r.side - 1.0;
        // face patches
        let mut pts: Vec<(f32,f32,f32,f32)> = vec![];
        let (l,t) = r.window.corner();
        for (p,uv) in self.patches.iter().zip(&self.uv) {
            if uv.0.abs() > 0.45 || uv.1.abs() > 0.5 || p.texture() < 4.0 { continue; }
            let (mx,my)=p.middle();
            let rel = (mx - (r.centre.x - l as f32)/cell, my - (r.centre.y - t as f32)/cell);
            let start = (shift.0 + 0.0*grow*rel.0, shift.1 + 0.0*grow*rel.1);
            if let Some(f) = p.refine(&self.plane, start, 4.0) {
                let z = p.fit(&self.plane, (0.0,0.0)).map_or(0.0,|f| f.left);
                if f.left < 0.4*p.energy_mean() && p.cornered() > 0.5 { pts.push((rel.0, rel.1, f.shift.0, f.shift.1)); }
                let _ = z;
            }
        }
        // similarity: dx = a x - b y + tx ; dy = b x + a y + ty ; robust
        let mut keep: Vec<bool> = vec![true; pts.len()];
        let mut sim = (0.0,0.0,shift.0,shift.1); let mut rms = -1.0; let mut n = 0.0f32;
        for _ in 0..3 {
            let sel: Vec<_> = pts.iter().zip(&keep).filter(|(_,k)| **k).map(|(p,_)| *p).collect();
            n = sel.len() as f32; if sel.len() < 4 { break; }
            let m = sel.iter().fold((0.0,0.0,0.0,0.0), |s,p| (s.0+p.0/n,s.1+p.1/n,s.2+p.2/n,s.3+p.3/n));
            let (mut sa, mut sb, mut q) = (0.0,0.0,0.0);
            for p in &sel { let (x,y,u,v)=(p.0-m.0,p.1-m.1,p.2-m.2,p.3-m.3); sa += x*u+y*v; sb += x*v-y*u; q += x*x+y*y; }
            let (a,b) = (sa/q, sb/q);
            sim = (a,b,m.2 - a*m.0 + b*m.1, m.3 - b*m.0 - a*m.1);
            let res = |p:&(f32,f32,f32,f32)| (p.2 - (sim.0*p.0 - sim.1*p.1 + sim.2)).hypot(p.3 - (sim.1*p.0 + sim.0*p.1 + sim.3));
            rms = (sel.iter().map(|p| res(p).powi(2)).sum::<f32>()/n).sqrt();
            for (p,k) in pts.iter().zip(&mut keep) { *k = res(p) < (2.0*rms).max(0.3); }
        }
        let mut out = String::new();
        for ((p,uv),last) in self.patches.iter().zip(&self.uv).zip(&mut self.last) {
            let (mx,my)=p.middle();
            let rel = (mx - (r.centre.x - l as f32)/cell, my - (r.centre.y - t as f32)/cell);
            let pred = (sim.0*rel.0 - sim.1*rel.1 + sim.2, sim.1*rel.0 + sim.0*rel.1 + sim.3);
            let f = |f: Option<super::flow::Fit>| f.map_or((-1.0,0.0,0.0), |f| (f.left,f.shift.0,f.shift.1));
            let zero = f(p.fit(&self.plane,(0.0,0.0)));
            let zr = f(p.refine(&self.plane,(0.0,0.0),0.4));
            let pr = f(p.refine(&self.plane,pred,0.5+0.15*pred.0.hypot(pred.1)));
            let fr = f(p.refine(&self.plane,*last,2.5));
            if fr.0 >= 0.0 { *last = (fr.1,fr.2); }
            out += &format!("[{:.2},{:.2},{:.1},{:.1},{:.1},{:.1},{:.1},{:.1},{:.2},{:.2},{:.1},{:.2},{:.2},{:.2},{:.2}],", uv.0,uv.1,p.texture(),p.cornered(),p.energy_mean(),zero.0,zr.0,pr.0,pr.1,pr.2,fr.0,fr.1,fr.2,pred.0,pred.1);
        }
        out.pop();
        eprintln!("{{\"seq\":{},\"box\":[{:.2},{:.2},{:.3}],\"sim\":[{:.4},{:.4},{:.2},{:.2}],\"rms\":{:.3},\"nf\":{},\"kept\":{},\"p\":[{}]}}", frame.sequence(), shift.0, shift.1, grow, sim.0, sim.1, sim.2, sim.3, rms, pts.len(), n, out);
    }
    #[must_use]
    pub fn motion(&self) -> Option<Motion> { None }
    pub fn forget(&mut self) { self.reference = None; eprintln!("{{\"forget\":1}}"); }
}
