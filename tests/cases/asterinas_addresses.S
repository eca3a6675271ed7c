// In the form of Asterinas: Intel syntax, pairs of absolute addresses in .ex_table.
// Right: fallible proved, fallible_wrong refuted O1: its entry stands on the mov before the rep.
.text
.global fallible
.type fallible, @function
fallible:
    mov rcx, rdx
.Lmove:
    rep movsb
.Lexit:
    mov rax, rcx
    ret
.size fallible, .-fallible

.global fallible_wrong
.type fallible_wrong, @function
fallible_wrong:
.Lbefore:
    mov rcx, rdx
    rep movsb
.Lexit_wrong:
    mov rax, rcx
    ret
.size fallible_wrong, .-fallible_wrong

.pushsection .ex_table, "a", @progbits
    .align 8
    .quad [.Lmove]
    .quad [.Lexit]
    .quad [.Lbefore]
    .quad [.Lexit_wrong]
.popsection
