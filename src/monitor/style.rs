//! How the page looks, and the few lines that renew it. Both are part of the page, so that nothing else is loaded.

/// Light and dark, wide and narrow. What a colour says, a word says too.
pub(super) const STYLE: &str = "\
:root{--back:#fbfbf9;--card:#fff;--ink:#1d2228;--soft:#525c68;--rule:#d9dcdf;--good:#1a6b3c;--bad:#b3261e;--hold:#7a4f00;\
--calm:#2a5d9f;--goodback:#e6f3ea;--badback:#fbe9e7;--holdback:#fdf1d8}\
@media(prefers-color-scheme:dark){:root{--back:#14171a;--card:#1c2024;--ink:#e6e8ea;--soft:#a9b2bb;--rule:#363c42;--good:#7fd1a0;\
--bad:#ff9d94;--hold:#f0c36d;--calm:#8fbaf3;--goodback:#16291d;--badback:#371b19;--holdback:#33270f}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
header,main,footer{max-width:62rem;margin:0 auto;padding:0 1rem}\
header{padding-top:1.25rem}\
h1{font-size:1.05rem;margin:0;color:var(--soft);font-weight:600}\
h2{font-size:1.05rem;margin:2rem 0 .5rem}\
.verdict{margin:.75rem 0 0;padding:.9rem 1rem;border-left:.4rem solid;border-radius:.35rem;font-size:1.15rem;overflow-wrap:anywhere}\
.verdict strong{margin-right:.4rem}\
.well{color:var(--good);background:var(--goodback)}.red{color:var(--bad);background:var(--badback)}\
.deactivated{color:var(--hold);background:var(--holdback)}\
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:.5rem 1.5rem;margin:1.25rem 0 0}\
dt{color:var(--soft);font-size:.9rem}dd{margin:0;overflow-wrap:anywhere}\
.waits{list-style:none;margin:0;padding:0}\
.waits li{background:var(--card);border:1px solid var(--rule);border-left:.3rem solid var(--calm);border-radius:.35rem;\
padding:.7rem .9rem;margin:.6rem 0;overflow-wrap:anywhere}\
.waits li.held,.waits li.failed,.waits li.parked{border-left-color:var(--hold)}\
.waits h3{font-size:1rem;margin:0}.waits p{margin:.2rem 0 0}\
code{font:.92em/1.5 ui-monospace,monospace;background:var(--back);border:1px solid var(--rule);border-radius:.25rem;padding:.05rem .35rem;\
user-select:all;overflow-wrap:anywhere}\
a{color:var(--calm)}\
.soft{color:var(--soft)}\
.wide{overflow-x:auto}\
table{border-collapse:collapse;width:100%;font-size:.95rem}\
caption{text-align:left;color:var(--soft);font-size:.9rem;padding-bottom:.3rem}\
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--rule);vertical-align:top}\
th{font-weight:600;color:var(--soft);white-space:nowrap}td.n,th.n{text-align:right}\
figure{margin:.75rem 0;background:var(--card);border:1px solid var(--rule);border-radius:.35rem;padding:.75rem}\
figure svg{display:block;width:100%;height:3.5rem}\
figcaption{color:var(--soft);font-size:.9rem;margin-top:.4rem}\
rect.done{fill:var(--good)}rect.partial{fill:var(--calm)}rect.held{fill:var(--hold)}rect.failed{fill:var(--bad)}\
polyline{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}\
.key{display:inline-block;margin-right:1.2rem}\
.key::before{content:'';display:inline-block;width:1.5em;margin-right:.4em;vertical-align:middle;border-top:2px solid var(--calm)}\
.key.held::before{border-color:var(--hold)}.key.failed::before{border-color:var(--bad);border-top-style:dashed}\
.key.waiting::before{border-top-style:dotted}\
polyline.held{stroke:var(--hold)}polyline.failed{stroke:var(--bad);stroke-dasharray:6 3}\
polyline.waiting{stroke:var(--calm);stroke-dasharray:2 3}polyline.pending{stroke:var(--calm)}\
footer{color:var(--soft);font-size:.9rem;margin-top:2rem;padding-bottom:2rem}\
#lost{display:none}.stale #lost{display:block}.stale main{opacity:.6}\
@media(max-width:30rem){body{font-size:15px}dl{grid-template-columns:1fr}}\
@media(forced-colors:active){.verdict,.waits li{border:1px solid}}";

/// Renews the page while somebody looks at it and selects nothing. If nobody answers, the page says that it is old. Only `main` is
/// parsed: a style with another nonce would break the policy.
pub(super) const RENEW: &str = "\
setInterval(async()=>{if(document.hidden||String(getSelection()))return;let fresh=null;\
try{const answer=await fetch('/',{cache:'no-store'});if(answer.ok){const text=await answer.text();\
fresh=new DOMParser().parseFromString(text.slice(text.indexOf('<main'),text.indexOf('</main>')),'text/html').querySelector('main')}}\
catch{}\
document.body.classList.toggle('stale',!fresh);document.getElementById('lost').hidden=!!fresh;if(!fresh)return;\
const here=document.scrollingElement.scrollTop;document.title=fresh.dataset.title;\
document.querySelector('main').replaceWith(fresh);document.scrollingElement.scrollTop=here},10000)";
