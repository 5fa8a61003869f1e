/** How the console looks: the reader's own fonts, light or dark as the reader has it, from 320 px up. */
export const style = `:root{color-scheme:light dark;--back:#f6f6f4;--card:#fff;--ink:#1d1d1b;--quiet:#5d5d58;--line:#dddcd6;--link:#1a5799;--good:#196a3b;--warn:#855400;--bad:#b0241c;--odd:#6a3d9e;--tint:#eef3f9}
@media(prefers-color-scheme:dark){:root{--back:#161614;--card:#1f1f1d;--ink:#ecebe6;--quiet:#a8a79f;--line:#383733;--link:#8cbcf2;--good:#76d198;--warn:#f0b849;--bad:#ff8f85;--odd:#cbaaf6;--tint:#202a35}}
*{box-sizing:border-box}
html{font:15px/1.5 system-ui,sans-serif;background:var(--back);color:var(--ink);overflow-wrap:anywhere}
body{margin:0 auto;max-width:74rem;padding:0 1rem 3rem}
a{color:var(--link);text-underline-offset:.2em;text-decoration-thickness:1px}
a:hover{text-decoration-thickness:2px}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:2px}
main:focus{outline:none}
h1{font-size:1.35rem;line-height:1.3;margin:0 0 .9rem;font-weight:650}
h2{font-size:1rem;margin:0 0 .6rem;font-weight:650}
h3{font-size:.85rem;margin:1.2rem 0 .2rem;font-weight:600;color:var(--quiet)}
p{margin:0 0 .6rem}
p:last-child,ul:last-child,dl:last-child{margin-bottom:0}
ul,ol,dl,dd,figure{margin:0;padding:0;list-style:none}
code{font:.9em ui-monospace,monospace}
time{font-variant-numeric:tabular-nums;white-space:nowrap}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.4rem .8rem;z-index:1}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.quiet,caption,dt,.type,.leave,figcaption{color:var(--quiet)}
.type{font-weight:400}
header{display:flex;flex-wrap:wrap;align-items:center;gap:.3rem 1.6rem;padding:.9rem 0;margin-bottom:1.2rem;border-bottom:1px solid var(--line)}
.brand{font-weight:700;margin:0;letter-spacing:-.01em}
nav ul{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem}
nav a{display:block;padding:.25rem 0;color:var(--quiet);text-decoration:none;border-bottom:2px solid transparent}
nav a:hover{color:var(--ink)}
nav a[aria-current]{color:var(--ink);border-color:var(--ink);font-weight:600}
.leave{margin:0 0 0 auto;font-size:.9rem;display:flex;gap:.8rem;align-items:center}
.card{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:1rem 1.1rem;margin:0 0 1rem}
button,input,select{font:inherit;color:inherit;background:var(--card);border:1px solid var(--quiet);border-radius:4px;padding:.35rem .6rem;min-height:2.3rem}
button{cursor:pointer;padding:.35rem 1rem;font-weight:600}
button:hover{background:var(--tint)}
.plain{border:0;padding:.2rem;min-height:1.6rem;font-weight:400;color:var(--link);background:none;text-decoration:underline;text-underline-offset:.2em}
::placeholder{color:var(--quiet);opacity:1}
.login{max-width:26rem;margin:3rem auto}
.login label{font-weight:600;display:block}
.login input{width:100%;margin:.2rem 0 1rem}
.bad,.state.critical,.state.down{color:var(--bad)}
.warn,.state.warning{color:var(--warn)}
.good,.state.ok,.state.up{color:var(--good)}
.state.unknown,.state.unreachable{color:var(--odd)}
.state{font-size:.85em;font-weight:650;white-space:nowrap}
.state::before{content:"";display:inline-block;width:.6em;height:.6em;border-radius:50%;background:currentColor;margin-right:.4em}
.state.ok::before,.state.up::before{border-radius:1px}
.verdict{border-left:4px solid;padding:.1rem 0 .1rem 1rem;margin-bottom:1.2rem}
.verdict.calm{border-color:var(--line)}
.verdict h1{margin:0;font-size:1.6rem}
.verdict p{margin:0;color:var(--ink)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1px;background:var(--line);border:1px solid var(--line);border-radius:6px;overflow:hidden;margin-bottom:1rem!important}
.facts div{background:var(--card);padding:.7rem 1.1rem}
.facts dt,.facts span{font-size:.85rem}
.facts b{display:block;font-size:1.25rem;font-weight:600}
.facts span{color:var(--quiet)}
.key{display:flex;flex-wrap:wrap;gap:0 1.4rem;margin:.3rem 0 .7rem}
.key li::before{content:"";display:inline-block;width:1.6em;border-top:2px solid var(--quiet);vertical-align:.3em;margin-right:.5em}
.key .mailed::before{border-color:var(--link)}
.key .suppressed::before{border-top-style:dashed;border-color:var(--warn)}
.plot{position:relative}
.plot svg{display:block;width:100%;height:9rem}
.plot .top{position:absolute;right:0;top:-1.4rem;font-size:.8rem;color:var(--quiet)}
svg *{vector-effect:non-scaling-stroke;fill:none;stroke-width:2;stroke-linejoin:round}
svg .grid{stroke:var(--line);stroke-width:1}
svg polygon{fill:var(--tint)}
svg polyline.accepted{stroke:var(--quiet)}
svg polyline.mailed{stroke:var(--link)}
svg polyline.suppressed{stroke:var(--warn);stroke-dasharray:5 4}
.axis{display:flex;justify-content:space-between;font-size:.8rem;color:var(--quiet);margin:.2rem 0 .6rem}
summary{cursor:pointer;color:var(--link)}
table{border-collapse:collapse;width:100%}
caption{text-align:left;font-size:.85rem;padding-bottom:.3rem}
th,td{text-align:left;vertical-align:top;padding:.45rem .8rem .45rem 0;border-bottom:1px solid var(--line)}
thead th{font-size:.85rem;font-weight:600;color:var(--quiet)}
.numbers{max-width:26rem}
.numbers td,.numbers thead th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums}
.numbers th,.numbers td{padding-top:.15rem;padding-bottom:.15rem;font-weight:400}
.sum{display:flex;flex-wrap:wrap;gap:0 .6rem;font-variant-numeric:tabular-nums}
.list li,.events li{display:grid;grid-template-columns:minmax(7.5rem,max-content) 1fr;gap:0 1rem;padding:.35rem 0;border-top:1px solid var(--line)}
.list li:first-child,.events li:first-child{border:0}
.events time{color:var(--quiet)}
.parts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem}
.parts div{display:contents}
.problems h2 a{font-weight:600}
.problems .parts{display:flex;flex-wrap:wrap;gap:.4rem 2.2rem}
.problems .parts div{display:block}
.problems dt{font-size:.85rem}
.problems form{margin-top:.8rem}
main>form:not(.card){margin-bottom:1rem}
.above{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.5rem 1rem;align-items:center;margin-bottom:1rem}
.above p{margin:0}
.search{display:flex;flex-wrap:wrap;gap:.6rem 1rem;align-items:end}
.search p{margin:0;flex:1 1 12rem}
.search p:nth-child(n+3){flex:0 1 auto}
.search label{display:block;font-size:.85rem;color:var(--quiet)}
.search input{width:100%}
.journal{table-layout:fixed}
.journal th:first-child{width:11.8rem}
.journal th:nth-child(2){width:34%}
.journal th:nth-child(3){width:19%}
.journal td:first-child{color:var(--quiet)}
.outcome{font-size:.95em}
.more{margin-top:1rem}
@media(min-width:48rem){.problems .parts div{min-width:12rem}.problems .parts div:first-child{min-width:20rem}}
@media(max-width:48rem){
nav{order:3;width:100%}
.journal thead{position:absolute;clip-path:inset(50%)}
.journal tr{display:block;padding:.6rem 0;border-bottom:1px solid var(--line)}
.journal td{display:block;border:0;padding:0}
.journal td:first-child{font-size:.85rem}
.list li,.events li,.parts{grid-template-columns:1fr}
.parts dd+div,.parts dt{font-size:.85rem}
.parts dd{margin-bottom:.35rem}
}
@media(forced-colors:active){.state::before{background:CanvasText}}
`;

/** The mark in the browser's tab. */
export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1a5799"/><path d="M4 3v10M12 3v10M4 8h8" stroke="#fff" stroke-width="2"/></svg>`;
