module secretsyncer/gotemplate

go 1.26
