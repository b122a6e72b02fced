FROM scratch
COPY dhcp-pod /usr/bin/dhcp-pod
ENV PATH=/usr/bin
ENTRYPOINT ["dhcp-pod"]
